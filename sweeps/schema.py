"""The JSON Schema of the sweep language, by which editors complete and check sweep files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema

from sweeps.spec import Sweep

FILE = Path(__file__).parent / "schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Without the titles that only repeat the names of keys, which editors would show beside them."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False

    def generate(self, schema: CoreSchema, mode: Any = "validation") -> JsonSchemaValue:
        return {"$schema": DIALECT, **super().generate(schema, mode), "title": "Assay sweep"}


def schema() -> dict[str, Any]:
    """The schema of a sweep file. What ``extends`` may supply is not required."""
    found = Sweep.model_json_schema(schema_generator=_Generator)
    required = found.pop("required")
    return {**found, "anyOf": [{"required": required}, {"required": ["extends"]}]}


def text() -> str:
    """The content of ``schema.json``."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
