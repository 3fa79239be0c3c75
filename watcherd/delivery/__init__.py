"""Delivery: sidecars written and the original moved, without ever replacing somebody's file.

names     a path, formats and the names that are taken in; the plan out. Pure
files     a plan and contents in, files in their places out; can be repeated after a stop anywhere
carry     the steps of that; result: how it ended
sidecars  a job's contents in, new files in one folder out
back      a failed file in, the same file back in its inbox out
beside    contents in, sidecars beside an original that stays where it is out; reports about such files
publish   one name in, another name for the same file out, never in the place of a file
copying   an original in, a true copy on another device out
look      a name in, what stands there out
room      the sizes of new files in, what is missing out
folders   a path below done or failed in, a descriptor of that folder out
report    a failed job in, the bytes of its report out. Pure
"""
