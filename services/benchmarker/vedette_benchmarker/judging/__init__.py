"""A judge for prose: a clearly better model compares texts of others, where no checker can be.

`tasks` holds what is written about, `asking` what the judge is asked and how its answer is read, `sessions` which texts
are compared, `strengths` the strengths that the answers show, `steps` what is to be done next. All of these are pure.
`author` asks a model, `comparing` a judge; `measure` does a job.
"""
