"""A report as one page of HTML that needs nothing from elsewhere: charts, tables and style are in it.

In: a `Report`, or a `Switched`. Out: text of HTML.
May import: as `reports`; Jinja2 here alone.
"""
