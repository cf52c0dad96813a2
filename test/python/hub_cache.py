"""The other side of hub.test.ts: what huggingface_hub makes of the cache, and what it puts there. Prints JSON."""

import json
import sys

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download

action = sys.argv[1]
if action == "read":
    info = scan_cache_dir()
    print(
        json.dumps(
            {
                "model": snapshot_download("org/model", local_files_only=True),
                "branch": snapshot_download("org/model", revision="refs/pr/1", local_files_only=True),
                "file": hf_hub_download("org/model", "config.json", local_files_only=True),
                "data": hf_hub_download("org/data", "a/train.csv", repo_type="dataset", local_files_only=True),
                "repos": sorted(f"{repo.repo_type}s/{repo.repo_id}" for repo in info.repos),
                "warnings": [str(warning) for warning in info.warnings],
            }
        )
    )
elif action == "download":
    print(
        json.dumps(
            {
                "again": snapshot_download("org/model", allow_patterns=["*.json", "*.safetensors"]),
                "model": snapshot_download("org/python"),
                "data": snapshot_download("org/frompython", repo_type="dataset"),
            }
        )
    )
