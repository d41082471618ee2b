"""Prints cases that Python's fnmatch decides, one JSON array [pattern, name, matches] a line: the oracle of glob_test.go.

Run: python3 fnmatch.py > fnmatch.jsonl
"""
import fnmatch
import json
import random
import warnings

warnings.simplefilter("ignore")  # re warns of classes that look like set operations

HAND = [
    ("", ""), ("", "a"), ("*", ""), ("**", ""), ("?", ""), ("?*", ""), ("[", "["), ("[]", "[]"), ("[!", "[!"), ("[!]", "[!]"),
    ("[]]", "]"), ("[!]]", "]"), ("[!]]", "a"), ("[^a]", "^"), ("[^a]", "b"), ("[a-c]", "b"), ("[c-a]", "b"), ("[!c-a]", "b"),
    ("[b-a!x]", "x"), ("[b-a!x]", "y"), ("[b-a!-z]", "-"), ("[b-a!-z]", "q"), ("[b-a!--z]", "q"), ("[b-a!x-z]", "y"),
    ("[a-c-e]", "-"), ("[a-c-e]", "d"), ("[--a]", "."), ("[a-]", "-"), ("[-a]", "-"), ("[!-a]", "-"), ("[!a-]", "-"),
    ("[ab-ac]", "b"), ("[ab-ac]", "c"), ("[[]", "["), ("[[:alpha:]]", "a]"), ("[\\]", "\\"), ("\\*", "\\x"), ("[!!]", "!"),
    ("[&&]", "&"), ("[~~a]", "~"), ("[||]", "|"), ("a/b*", "a/b/c"), (".*", ".x"), ("*.txt", ".txt"), ("a\n*", "a\nb"),
    ("?", "é"), ("?", "😀"), ("[а-я]", "ж"), ("[😀-😎]", "😃"), ("é*", "éa"), ("*é", "aé"), ("A", "a"), ("[A-z]", "_"),
    ("*a*b*c*", "xxaxxbxxcxx"), ("*a*b*c*", "xxaxxcxxbxx"), ("a*a*a*a*b", "a" * 40), ("[*]", "*"), ("[*]", "x"), ("[?]", "?"),
]

PATTERN = ["a", "b", "c", "é", "ж", "-", "-", "!", "^", "[", "[", "]", "]", "*", "*", "?", "\\", "&", "."]
NAME = ["a", "b", "c", "é", "ж", "-", "!", "^", "[", "]", "*", "\\", "&", ".", "/", "\n"]


def main():
    rng = random.Random(20260827)
    cases = dict.fromkeys(HAND)
    hits = misses = 0
    while hits < 1200 or misses < 800:
        pattern = "".join(rng.choices(PATTERN, k=rng.randint(1, 9)))
        name = "".join(rng.choices(NAME, k=rng.randint(0, 5)))
        hit = fnmatch.fnmatchcase(name, pattern)
        if (pattern, name) in cases or (hits >= 1200 if hit else misses >= 800):
            continue
        cases[(pattern, name)] = None
        hits, misses = hits + hit, misses + (not hit)
    for pattern, name in cases:
        print(json.dumps([pattern, name, fnmatch.fnmatchcase(name, pattern)], ensure_ascii=False))


main()
