"""Commands, one file each: arguments and messages for the user only."""
