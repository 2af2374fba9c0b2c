"""The manual: the pages that `archiver manual` prints, one Markdown file per topic."""
