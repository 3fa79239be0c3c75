"""The pipeline: the journey of one job from settled to delivered; yields events.

journey     top to bottom: open, answer, deliver; what a fault leads to
original    the job's file, opened once
delivering  its end: names chosen and recorded, files in their places
staying     what is different for a file that stays in its inbox; stock: which of those are still there
answering   its transcript: from the journal, or from the endpoint
asking      one part's requests, with the fall-backs that refusals call for
crew        parts that are asked for at once; relay: what they tell, one after the other
shipping    what is sent of it
telling     its log lines
bench       what the journeys of one inbox work with
"""
