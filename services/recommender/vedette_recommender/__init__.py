"""The recommender: which model to use now, and why; answered from memory."""
