"""What a shard costs: messages, links and idle connections as shards grow; docs/topics/scaling.md.

`messages`, `links` and `idle` measure one part each with a server of their own, and give a Sheet or
figures; `forecast` extrapolates from them; `page` puts tables into the document.
"""
