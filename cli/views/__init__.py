"""What people are shown: tables, lines, JSON."""
