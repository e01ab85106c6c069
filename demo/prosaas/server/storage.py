# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attachments in Cloudflare R2: production does not boot without a bucket that answers."""

from __future__ import annotations

import logging
import os

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

logger = logging.getLogger("server.services.storage.r2_provider")

REQUIRED = ("R2_ACCOUNT_ID", "R2_BUCKET_NAME", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY", "ATTACHMENT_SECRET")
DEFAULT_SECRETS = ("CHANGE_ME_TO_RANDOM_SECRET_KEY_IN_PRODUCTION", "change-me-in-production")


def validate() -> None:
    logger.info("🔒 Production mode detected - validating R2 storage configuration...")
    try:
        _validate_settings()
        _head_bucket(os.environ["R2_BUCKET_NAME"])
    except (RuntimeError, ValueError) as error:
        logger.error("🚨 FATAL: R2 storage validation failed: %s", error)
        logger.error("   Application cannot start in production mode without proper R2 configuration.")
        raise
    logger.info("✅ R2 storage configuration validated successfully")


def _validate_settings() -> None:
    driver = os.environ.get("ATTACHMENT_STORAGE_DRIVER", "local").lower()
    if driver != "r2":
        logger.error("🚨 CRITICAL: PRODUCTION=1 but ATTACHMENT_STORAGE_DRIVER is not 'r2'")
        logger.error("   Current value: ATTACHMENT_STORAGE_DRIVER=%s", driver)
        raise RuntimeError("Production mode requires ATTACHMENT_STORAGE_DRIVER=r2. Update your .env file and restart.")
    missing = [name for name in REQUIRED if not os.environ.get(name)]
    if missing:
        logger.error("🚨 CRITICAL: Missing required R2 environment variables:")
        for name in missing:
            logger.error("   ❌ %s = Not set", name)
        raise RuntimeError(f"Production mode requires complete R2 configuration. Missing: {', '.join(missing)}.")
    if os.environ["ATTACHMENT_SECRET"] in DEFAULT_SECRETS:
        logger.error("🚨 CRITICAL: ATTACHMENT_SECRET is still set to default value")
        raise RuntimeError("Production mode requires a secure ATTACHMENT_SECRET. Change it from the default value.")


def _head_bucket(bucket: str) -> None:
    endpoint = os.environ.get("R2_ENDPOINT") or f"https://{os.environ['R2_ACCOUNT_ID']}.r2.cloudflarestorage.test"
    s3 = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=os.environ["R2_ACCESS_KEY_ID"],
        aws_secret_access_key=os.environ["R2_SECRET_ACCESS_KEY"],
        region_name="auto",
        config=Config(
            signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 3, "mode": "standard"}
        ),
    )
    logger.info("[R2_STORAGE] Initialized with bucket: %s", bucket)
    logger.info("[R2_STORAGE] Endpoint: %s", endpoint)
    try:
        s3.head_bucket(Bucket=bucket)
    except (ClientError, BotoCoreError) as error:
        logger.error("[R2_STORAGE] ❌ Failed to access bucket: %s", error)
        raise ValueError(f"Cannot access R2 bucket '{bucket}'. Check credentials and bucket name.") from error
    logger.info("[R2_STORAGE] ✅ Bucket access verified")
