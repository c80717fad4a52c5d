"""The overview page: what the API tells, drawn for people. Templates, styles and htmx lie here."""
