"""How much worse than the best possible choice a recommendation is, over simulated fleets whose truth is known.

`worlds` makes fleets from a seed, `knowledge` makes the events of what Vedette would know of one, `asker` asks the
recommender (of this checkout, or of another one), `worth` says what a choice is worth, and `table` compares. `strange`
changes in these fleets one thing that Vedette takes for granted. `published` does the same with real models: the truth
is one of the published `boards`, of which Vedette knows nothing.
"""
