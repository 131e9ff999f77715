"""One service in process: real pages, real stores, a clock set by hand."""
