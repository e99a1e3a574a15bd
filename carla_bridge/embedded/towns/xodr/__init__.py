"""Any OpenDRIVE text as geometry: read, sampled into lane strips, paved, painted and signposted."""
