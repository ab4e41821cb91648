"""Several daemons on one database: `estate` is what they serve, `fleet` the daemons themselves, each a process."""
