"""A judge for prose: a clearly better model compares texts of others, where no checker can be.

`tasks` holds what is written about, `asking` what the judge is asked and how its answer is read, `strengths` the
strengths that the answers show. All of these are pure; `measure` connects them to endpoints.
"""
