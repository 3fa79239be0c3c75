"""Subtitles: from what the endpoint said of each part to the bytes of the sidecars. No I/O.

merge     the transcripts of a job's parts in, one on the job's sound time line out, without what nobody said
language  a merged transcript in, the same with a warning if it is not English out
cues      a merged transcript in, subtitles out
formats   subtitles and their transcript in, the bytes of each format out; and SRT and VTT in, subtitles out
"""
