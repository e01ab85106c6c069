# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment file judged by a schema (one entry per variable) and rules (what must hold between variables).

Both arrive as data; which variables there are is not known here. No evidence holds a value.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import difflib
import inspect
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from . import _env_types
from ._check import FAIL, PASS, SKIP, WARN, Check, Outcome, timed
from ._dotenv import Variable
from ._errors import OpsError

Data = t.Mapping[str, t.Any]

# What any entry of the schema and any rule may say; the rest are the parameters of its type or kind.
_ENTRY = {"type", "title", "item", "enabled", "severity", "required", "required_when", "required_with"}
_ENTRY |= {"default", "ignored", "generate", "unless_volume", "source", "public"}
_RULE = {"id", "kind", "title", "item", "enabled", "severity", "remedy"}
SYNTAX = "Every line means what it looks like"
CORRECT = "Correct it in the inventory, where the schema and the rules of the environment file are."
_CLASSES: dict[str, type] = {"Sequence": list, "Mapping": dict, "int": int, "bool": bool}
_CLOSE = 0.85  # similarity from which a name is taken for a misspelt one


@dataclass(frozen=True)
class Environment:
    """The file, and what it is judged by.

    Attributes:
        schema: name -> entry.
        placeholders: patterns (any case) of values that nobody has replaced yet.
        domain: under which the application is reached, in lower case.
        path: of the file, for remedies.
        variables: what is in it.
        example: the values of the template that the file was copied from.
    """

    schema: Mapping[str, Data] = field(default_factory=dict)
    placeholders: Sequence[str] = ()
    domain: str = ""
    path: str = ".env"
    variables: Mapping[str, Variable] = field(default_factory=dict)
    example: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """Return the value, empty when there is none: the application makes no difference."""
        variable = self.variables.get(name)
        return (variable.value or "") if variable else ""

    def line(self, name: str) -> int:
        return self.variables[name].lines[-1]

    def is_placeholder(self, value: str) -> bool:
        return any(re.search(pattern, value, re.IGNORECASE) for pattern in self.placeholders)

    def is_private(self, name: str) -> bool:
        """Tell whether a value is hidden: all but those said to be public, and those that the template shows anyway."""
        value, entry = self.value(name), self.schema.get(name, {})
        public = entry.get("public", entry.get("type") in _env_types.PUBLIC) and "@" not in value
        return not public and self.example.get(name) != value


def merged(base: Mapping[str, Data], extra: Mapping[str, Data]) -> dict[str, dict[str, t.Any]]:
    """Return entries with others laid on top, key by key; ``enabled: false`` takes one out."""
    names = [*base, *(name for name in extra if name not in base)]
    entries = {name: {**base.get(name, {}), **(extra.get(name) or {})} for name in names}
    return {name: entry for name, entry in entries.items() if entry.get("enabled", True)}


def merged_rules(base: Iterable[Data], extra: Iterable[Data]) -> list[dict[str, t.Any]]:
    """Return rules with others laid on top by their ids."""
    rules = [*base, *extra]
    if not all("id" in rule for rule in rules):
        raise OpsError("A rule has no id.", "Give each rule of the environment file one.")
    return list(merged({rule["id"]: rule for rule in base}, {rule["id"]: rule for rule in extra}).values())


def refuse_mistakes(schema: Mapping[str, Data], rules: Sequence[Data], placeholders: Iterable[str]) -> None:
    """Raise for data that is not understood: a misspelt key would silently check less."""
    for name, entry in schema.items():
        _refuse(f"entry {name} of the schema", {"type": "string", **entry}, "type", _env_types.TYPES, _ENTRY)
        generate = str(entry.get("generate", ""))
        if generate and generate not in _env_types.GENERATORS and " " not in generate:
            remedy = f"Choose one of {', '.join(sorted(_env_types.GENERATORS))}, or give a whole command."
            raise OpsError(f"The entry {name} of the schema has generate {generate}.", remedy)
    for rule in rules:
        _refuse(f"rule {rule['id']}", rule, "kind", KINDS, _RULE)
    patterns = [*placeholders, *(entry.get("pattern", "") for entry in schema.values())]
    for pattern in [*patterns, *(str(each) for rule in rules for each in rule.get("then", {}).values())]:
        try:
            re.compile(pattern)
        except re.error as error:
            raise OpsError(f"{pattern!r} is no regular expression ({error}).", CORRECT) from None


def _refuse(what: str, entry: Data, key: str, functions: Mapping[str, t.Callable[..., str]], common: set[str]) -> None:
    chosen = str(entry.get(key))
    if chosen not in functions:
        raise OpsError(f"The {what} has {key} {chosen}.", f"Choose one of {', '.join(sorted(functions))}.")
    if entry.get("severity", FAIL) not in (FAIL, WARN):
        raise OpsError(f"The {what} has severity {entry['severity']!r}.", f"Choose {FAIL} or {WARN}.")
    parameters = list(inspect.signature(functions[chosen]).parameters.values())[1:]
    known = {parameter.name: str(parameter.annotation) for parameter in parameters}
    unknown = set(entry) - common - set(known)
    if unknown:
        raise OpsError(f"The {what} has {', '.join(sorted(unknown))}, which {chosen} does not know.", CORRECT)
    missing = {parameter.name for parameter in parameters if parameter.default is parameter.empty} - set(entry)
    if missing:
        raise OpsError(f"The {what} lacks {', '.join(sorted(missing))}, which {chosen} needs.", CORRECT)
    for name in set(entry) & set(known):
        for annotation, wanted in _CLASSES.items():
            if known[name].startswith(annotation) and not isinstance(entry[name], wanted):
                raise OpsError(f"The {what} has a {name} that is no {wanted.__name__}.", CORRECT)


def checks(env: Environment, rules: Iterable[Data]) -> Iterator[Check]:
    """Yield one check per variable of the schema, one per rule, and those that concern the file as a whole."""
    for name, entry in env.schema.items():
        title, item = entry.get("title", name), entry.get("item", [])
        yield timed(f"env.{name.lower()}", title, item, partial(_judged, name, entry, env))
    for rule in rules:
        title, item = rule.get("title", rule["id"]), rule.get("item", [])
        yield timed(f"env.rule.{rule['id']}", title, item, partial(_ruled, rule, env))
    yield timed("env.syntax", SYNTAX, [], partial(_syntax, env))
    yield timed("env.duplicates", "Every variable is set once", [], partial(_duplicates, env))
    yield timed("env.placeholders", "No placeholder in the other variables", [], partial(_placeholders, env))
    yield timed("env.unknown", "No misspelt names", [], partial(_unknown, env))


def _judged(name: str, entry: Data, env: Environment) -> Outcome:
    """Judge one variable by its entry of the schema."""
    value = env.value(name)
    bad = WARN if entry.get("ignored") else entry.get("severity", FAIL)
    inert = f"; the application does not read it: {entry['ignored']}" if entry.get("ignored") else ""
    if not value:
        reason = needed(entry, env)
        if reason:
            empty = "is empty" if name in env.variables else "is not set"
            return Outcome(bad, f"{empty}, {reason}{inert}", _remedy("Set", name, entry, env))
        return Outcome(PASS, f"not set: {entry['default']}") if "default" in entry else Outcome(SKIP, "not set")
    where = f"line {env.line(name)}"
    if env.is_placeholder(value):
        return Outcome(FAIL, f"{where}: it is still a placeholder{inert}", _remedy("Set", name, entry, env))
    kind = entry.get("type", "string")
    parameters = {key: entry[key] for key in _env_types.parameters(kind) if key in entry}
    wrong = _env_types.TYPES[kind](value, **parameters)
    if not wrong and kind in ("secret", "fernet") and env.example.get(name) == value:
        wrong = "it is the value of the template, which everybody can read"
    if wrong:
        return Outcome(bad, f"{where}: {wrong}{inert}", _remedy("Correct", name, entry, env))
    return Outcome(PASS, f"{where}, length {len(value)}{inert}")


def needed(entry: Data, env: Environment) -> str:
    """Return why a variable must be set, empty when it need not."""
    if entry.get("required"):
        return "required"
    when = entry.get("required_when", {})
    if when and all(env.value(name) == str(value) for name, value in when.items()):
        return "required when " + " and ".join(f"{name} is {value}" for name, value in when.items())
    used = [name for name in entry.get("required_with", []) if env.value(name)]
    return f"required with {', '.join(used)}" if used else ""


def _remedy(verb: str, name: str, entry: Data, env: Environment) -> str:
    instead = "" if entry.get("required") or verb == "Correct" else ", or delete the line"
    told = f"{verb} {name} in {env.path}{instead}"
    if entry.get("type") == "exact":
        told = f"Set {name}={entry['value']} in {env.path}"
    if entry.get("generate"):
        told += f"; make a value: {command(entry['generate'])}"
    return told + (f"; {entry['source']}" if entry.get("source") else "")


def command(generate: str) -> str:
    """Return the command that makes a value: a generator's, or the one that the entry itself gives."""
    known = _env_types.GENERATORS.get(generate)
    return known.command if known else generate


def _syntax(env: Environment) -> Outcome:
    surprises = sorted({(line, v.name, what) for v in env.variables.values() for line, what in v.surprises})
    if not surprises:
        return Outcome(PASS, f"{len(env.variables)} variables")
    evidence = "; ".join(f"line {line} ({name}): {what}" for line, name, what in surprises)
    return Outcome(FAIL, evidence, f"Put those values in single quotes in {env.path}, comments on lines of their own")


def _duplicates(env: Environment) -> Outcome:
    twice = [variable for variable in env.variables.values() if len(variable.lines) > 1]
    if not twice:
        return Outcome(PASS, f"{len(env.variables)} variables")
    evidence = "; ".join(f"{v.name} on lines {', '.join(map(str, v.lines))} (the last one counts)" for v in twice)
    return Outcome(FAIL, evidence, f"Keep one line of each in {env.path}")


def _placeholders(env: Environment) -> Outcome:
    others = [name for name in env.variables if name not in env.schema]
    found = [f"{name} (line {env.line(name)})" for name in others if env.is_placeholder(env.value(name))]
    if not found:
        return Outcome(PASS, f"{len(others)} other variables")
    return Outcome(FAIL, "still placeholders: " + ", ".join(found), f"Set them in {env.path}, or delete the lines")


def _unknown(env: Environment) -> Outcome:
    """Take a name for a misspelt one when it is close to a variable that is not set, and the template lacks it.

    It fails when the other one must be set, so that somebody surely meant it.
    """
    unset = [name for name in env.schema if name not in env.variables]
    strangers = [name for name in env.variables if name not in env.schema and name not in env.example]
    close = {name: difflib.get_close_matches(name.upper(), unset, 1, _CLOSE) for name in strangers}
    meant = {name: names[0] for name, names in close.items() if names}
    if not meant:
        return Outcome(PASS, f"{len(strangers)} variables are in neither schema nor template, none looks misspelt")
    must = [name for name in meant.values() if needed(env.schema[name], env) and not env.schema[name].get("ignored")]
    evidence = "; ".join(
        f"{name} (line {env.line(name)}) is probably {other}" + (", which must be set" if other in must else "")
        for name, other in meant.items()
    )
    return Outcome(FAIL if must else WARN, evidence, f"Correct the names in {env.path}")


# Rules. A kind of rule is a function of the environment and of its own parameters, and returns what is wrong or an
# empty string. Variables that are not set are left out: whether they must be is the schema's business.


def same_host(env: Environment, variables: Sequence[str], domain: bool = False) -> str:
    hosts = {name: _env_types.host_of(env.value(name)) for name in variables if env.value(name)}
    if domain and env.domain:
        astray = [name for name, host in hosts.items() if host != env.domain]
        return f"{_list(astray, env)}: the host is not {env.domain}" if astray else ""
    return f"{_list(hosts, env)}: different hosts" if len(set(hosts.values())) > 1 else ""


def within_domain(env: Environment, variables: Sequence[str]) -> str:
    hosts = {name: _env_types.host_of(env.value(name)) for name in variables if env.value(name)}
    astray = [name for name, host in hosts.items() if not f".{host}".endswith(f".{env.domain}")]
    return f"{_list(astray, env)}: not within {env.domain}" if env.domain and astray else ""


def url_matches(env: Environment, variables: Sequence[str], scheme: str, host: str) -> str:
    expected = (env.value(scheme), env.value(host).lower())
    urls = {name: _env_types.split(env.value(name)) for name in variables if env.value(name)}
    astray = [name for name, url in urls.items() if url is None or (url.scheme, url.hostname) != expected]
    return f"{_list(astray, env)}: not {scheme} and {host}" if astray and all(expected) else ""


def first_label(env: Environment, variables: Sequence[str], equals: str) -> str:
    label = env.value(equals).lower()
    astray = [name for name in variables if _env_types.host_of(env.value(name)).split(".")[0] not in ("", label)]
    return f"{_list(astray, env)}: the host does not begin with {equals}" if astray and label else ""


def lacks(env: Environment, variables: Sequence[str], text: str) -> str:
    found = [name for name in variables if text in _env_types.host_of(env.value(name))]
    return f"{_list(found, env)}: the host contains {text}" if found else ""


def at_most(env: Environment, variables: Sequence[str], defaults: Mapping[str, int] | None = None) -> str:
    """Args: ``defaults`` is what the application takes for one that is not set."""
    given = {name: env.value(name) or str((defaults or {}).get(name, "")) for name in variables}
    numbers = [int(value) for value in given.values() if not _env_types.integer(value)]
    if len(numbers) < len(variables) or numbers == sorted(numbers):
        return ""
    told = (
        f"{name} (line {env.line(name)})" if env.value(name) else f"{name} (not set: {given[name]})" for name in given
    )
    return f"{' and '.join(told)}: the first is larger"


def implies(env: Environment, when: Mapping[str, t.Any], then: Mapping[str, str]) -> str:
    """Args: ``when`` are variables with their values, ``then`` regular expressions for the whole value of others."""
    if any(env.value(name) != str(value) for name, value in when.items()):
        return ""
    given = {name: env.value(name) for name in then if env.value(name)}
    astray = [name for name, value in given.items() if not re.fullmatch(str(then[name]), value)]
    why = " and ".join(f"{name} is {value}" for name, value in when.items())
    return f"{_list(astray, env)}: not as it must be when {why}" if astray else ""


def different(env: Environment, types: Sequence[str], variables: Sequence[str] = ()) -> str:
    names = [*variables, *(name for name, entry in env.schema.items() if entry.get("type") in types)]
    users: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        users.setdefault(env.value(name), []).append(name)
    shared = [names for value, names in users.items() if value and len(names) > 1 and not env.is_placeholder(value)]
    return "; ".join(f"{_list(names, env)}: the same value" for names in shared)


KINDS: dict[str, t.Callable[..., str]] = {
    "same_host": same_host,
    "within_domain": within_domain,
    "url_matches": url_matches,
    "first_label": first_label,
    "lacks": lacks,
    "at_most": at_most,
    "implies": implies,
    "different": different,
}


def _ruled(rule: Data, env: Environment) -> Outcome:
    """Judge one rule; one of whose variables none is set has nothing to say."""
    variables = rule.get("variables", [])
    if variables and not any(env.value(name) for name in variables):
        return Outcome(SKIP, f"not set: {', '.join(variables)}")
    parameters = {key: value for key, value in rule.items() if key not in _RULE}
    wrong = KINDS[rule["kind"]](env, **parameters)
    if wrong:
        return Outcome(rule.get("severity", FAIL), wrong, rule.get("remedy", f"Correct {env.path}"))
    return Outcome(PASS, "holds")


def _list(names: Iterable[str], env: Environment) -> str:
    return " and ".join(f"{name} (line {env.line(name)})" for name in names)
