"""What the pages read: plain queries over the store, one file for each page, values out. Nothing here writes."""
