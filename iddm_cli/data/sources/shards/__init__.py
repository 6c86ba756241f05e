"""Shards: a dataset in many large files, tar shards as in webdataset or Parquet."""
