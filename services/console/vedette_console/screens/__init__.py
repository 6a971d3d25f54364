"""What each page shows: from replies of the queries to the values of its template."""
