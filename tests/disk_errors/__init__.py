"""Real nodes on disks that fail, fill up, crawl and hang."""
