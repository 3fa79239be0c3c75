"""The pipeline: the journey of one job from settled to delivered; yields events.

journey     top to bottom: open, answer, deliver; what a fault leads to
original    the job's file, opened once
answering   its transcript: from the journal, or from the endpoint
shipping    what is sent of it
bench       what the journeys of one inbox work with
"""
