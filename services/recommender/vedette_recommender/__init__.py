"""The recommender: says from memory which model to use now, and why."""
