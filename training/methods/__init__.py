"""Every method that `csmf-train --method` can train: CSMF and its rivals, one file each."""
