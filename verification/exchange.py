"""Exchange: the items as needs.json, the file that sphinx-needs and its peers import."""

import json
from typing import Any

from verification import schema
from verification.items import Items
from verification.repository import Repository

__all__ = ["needs_json"]


def needs_json(repository: Repository, items: Items) -> str:
    """Write needs.json without a clock, so that equal items give equal bytes."""
    titles = {kind.directive: kind.title for kind in schema.TYPES}
    needs: dict[str, dict[str, Any]] = {}
    for item in items.by_id.values():
        needs[item.id] = {
            "id": item.id,
            "type": item.type,
            "type_name": titles[item.type],
            "title": item.title,
            "content": item.text,
            "status": item.status,
            "docname": item.file.removesuffix(".rst"),
            "doctype": ".rst",
            "lineno": item.line,
            "hash": item.hash,
            **dict(item.fields),
            **{name: list(targets) for name, targets in item.links.items() if targets},
        }
    version = repository.version
    data = {
        "current_version": version,
        "project": repository.pyproject.get("project", {}).get("name", ""),
        "versions": {version: {"needs": needs, "needs_amount": len(needs)}},
    }
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
