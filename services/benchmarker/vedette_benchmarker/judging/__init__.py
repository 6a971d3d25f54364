"""A judge for prose, which no checker can grade: a clearly better model compares the texts of other models.

`tasks` has the subjects of texts. `asking` builds the question to the judge and reads its answer. `sessions` chooses
the texts to compare. `strengths` computes strengths from the answers. `steps` decides the next step. All of these are
pure. `author` calls a model, `comparing` a judge; `measure` does a job.
"""
