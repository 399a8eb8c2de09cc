"""Reports on what has been: made when asked for or on schedule, as PDF and Excel, in two languages (docs/reports.md)."""
