#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""schema.py SCHEMA FILE - checks a JSON value against as much of JSON Schema as docs/*.schema.json
use: type, const, pattern, required, properties, additionalProperties, items, minimum, maximum, $ref
within the schema. A keyword that it does not know is an error. Prints the first fault; status 1."""

import json
import re
import sys

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
SAID = {"$schema", "title", "description", "definitions"}


class Fault(Exception):
    pass


def check_type(value, name, where):
    is_bool_for_number = name == "integer" and isinstance(value, bool)
    if not isinstance(value, TYPES[name]) or is_bool_for_number:
        raise Fault(f"{where}: no {name}")


def check_members(schema, value, where, root):
    for name in schema.get("required", []):
        if name not in value:
            raise Fault(f'{where}: no "{name}"')
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, member in value.items():
        rule = known.get(name, others)
        if rule is False:
            raise Fault(f'{where}: "{name}" is unknown')
        if rule is not True:
            check(rule, member, f"{where}.{name}", root)


def check(schema, value, where, root):
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    unknown = set(schema) - SAID - {"type", "const", "pattern", "required", "properties",
                                    "additionalProperties", "items", "minimum", "maximum"}
    if unknown:
        raise Fault(f"the schema has {unknown} for {where}")
    if "const" in schema and value != schema["const"]:
        raise Fault(f"{where}: not {schema['const']}")
    if "type" in schema:
        check_type(value, schema["type"], where)
    if "pattern" in schema and not re.search(schema["pattern"], value):
        raise Fault(f"{where}: {value!r} does not match")
    if value is not True and isinstance(value, int):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            raise Fault(f"{where}: {value} is out of bounds")
    if isinstance(value, dict):
        check_members(schema, value, where, root)
    if isinstance(value, list) and "items" in schema:
        for place, item in enumerate(value):
            check(schema["items"], item, f"{where}[{place}]", root)


def main():
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            schema = json.load(file)
        with open(sys.argv[2], encoding="utf-8") as file:
            value = json.load(file)
        check(schema, value, "$", schema)
    except (Fault, ValueError, OSError) as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


sys.exit(main())
