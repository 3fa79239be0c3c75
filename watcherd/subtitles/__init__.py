"""Subtitles: from a transcript as the endpoint gave it to the bytes of the sidecars. Pure.

merge     a transcript in, the same text on a sound time line out
cues      a merged transcript in, subtitles out
formats   subtitles in, SRT, VTT and TXT out; and SRT and VTT in, subtitles out
"""
