"""The tree against a published test tree, a recursive definition, and every proof for small sizes."""

from __future__ import annotations

import hashlib

import pytest

from engine.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    consistent,
    included,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
)

# The leaves and heads of the test tree in Certificate Transparency's reference implementation.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
HEADS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES]


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def defined(hashes: list[bytes]) -> bytes:
    """MTH as RFC 9162 §2.1.1 defines it."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(defined(hashes[:split]), defined(hashes[split:]))


def test_the_published_tree():
    assert [root_of(HASHES[:size]).hex() for size in range(1, 9)] == HEADS
    assert root_of([]) == EMPTY_ROOT


def test_published_proofs():
    assert [part.hex()[:8] for part in inclusion_proof(HASHES, 5)] == ["bc1a0643", "ca854ea1", "d37ee418"]
    proof = consistency_proof(HASHES, 6)
    assert [part.hex()[:8] for part in proof] == ["0ebc5d34", "ca854ea1", "d37ee418"]


def test_heads_are_as_defined():
    for size in range(70):
        assert root_of(leaves(size)) == defined(leaves(size))


def test_a_frontier_goes_on_where_it_was_kept():
    whole = leaves(37)
    for at in range(38):
        kept = Frontier()
        for leaf in whole[:at]:
            kept.add(leaf)
        again = Frontier(kept.size, kept.roots)
        for leaf in whole[at:]:
            again.add(leaf)
        assert (again.size, again.root()) == (37, root_of(whole))


@pytest.mark.parametrize(("size", "roots"), [(1, []), (3, [b"x" * 32]), (2, [b"short"]), (-1, [])])
def test_no_frontier_that_cannot_be(size: int, roots: list[bytes]):
    with pytest.raises(ValueError, match="not the frontier"):
        Frontier(size, roots)


def test_every_leaf_of_every_small_tree_is_proven_and_no_other():
    for size in range(1, 40):
        whole = leaves(size)
        root = root_of(whole)
        for index in range(size):
            proof = inclusion_proof(whole, index)
            assert included(whole[index], index, size, proof, root)
            assert not included(leaf_hash(b"other"), index, size, proof, root)
            assert not included(whole[index], (index + 1) % (size + 1), size, proof, root)
            assert not included(whole[index], index, size, [*proof, b"\0" * 32], root)
            assert not (proof and included(whole[index], index, size, proof[:-1], root))


def test_every_two_small_trees_are_consistent_and_no_others():
    for size in range(1, 40):
        whole = leaves(size)
        root = root_of(whole)
        for old in range(size + 1):
            before = root_of(whole[:old])
            proof = consistency_proof(whole, old)
            assert consistent(old, before, size, root, proof)
            if old:
                assert not consistent(old, leaf_hash(b"other"), size, root, proof)
                assert not consistent(old, before, size, leaf_hash(b"other"), proof)
                assert not consistent(old, before, size, root, [*proof, b"\0" * 32])
                assert not (proof and consistent(old, before, size, root, proof[:-1]))


def test_what_is_outside_the_tree_has_no_proof():
    with pytest.raises(IndexError):
        inclusion_proof(leaves(3), 3)
    with pytest.raises(IndexError):
        consistency_proof(leaves(3), 4)
    assert not included(b"\0" * 32, 0, 0, [], EMPTY_ROOT)
    assert not consistent(5, b"", 4, b"", [])


@pytest.mark.parametrize("begin", [0, 1, 2, 3, 7, 8, 250])
def test_many_leaves_at_once_are_the_same_as_one_by_one(begin: int):
    leaves = [leaf_hash(bytes([n % 251, n // 251])) for n in range(400)]
    for end in (begin, begin + 1, begin + 2, begin + 5, 300, 400):
        one_by_one, at_once = Frontier(), Frontier()
        for leaf in leaves[:end]:
            one_by_one.add(leaf)
        at_once.extend(leaves[:begin])
        at_once.extend(iter(leaves[begin:end]))
        assert (at_once.size, at_once.roots) == (one_by_one.size, one_by_one.roots)
