"""The three-table interaction log: format, validation, reading, writing."""
