"""A run as charts: `series` holds their data (numpy only), the other files draw with matplotlib.

One file per figure. Nothing here is imported before a chart is asked for.
"""

KINDS = ("png", "svg", "pdf")  # of files
