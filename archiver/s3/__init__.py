"""S3: the objects of a bucket, through aiobotocore."""
