"""Runs Python code with a boto3 client for the S3 server at the port in the first argument, and prints its `result` as JSON."""

import json
import os
import sys

import boto3
from botocore.exceptions import ClientError

s3 = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{sys.argv[1]}",
    region_name="us-east-1",
    aws_access_key_id=os.environ.get("PRIVATE_MEDIA_TEST_S3_ACCESS_KEY", "test"),
    aws_secret_access_key=os.environ.get("PRIVATE_MEDIA_TEST_S3_SECRET_KEY", "a-secret-access-key"),
)
scope = {"s3": s3, "ClientError": ClientError, "result": None}
exec(sys.stdin.read(), scope)
print(json.dumps(scope["result"]))
