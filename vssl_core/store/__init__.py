"""Run folders, records, and the copies that trackers get."""
