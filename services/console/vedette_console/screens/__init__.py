"""The pages: from replies of queries to the values of their templates."""
