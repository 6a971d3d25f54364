"""Real models asked tasks that no suite has, beside what Vedette says of their quality.

`weights` brings the models, `tasks` has 60 tasks of each use case with their checkers, `asking` asks and grades them,
and `table` compares.
"""
