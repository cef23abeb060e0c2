"""Jobs from claim to publication: job.json, leases, retries, history. Starts no process."""
