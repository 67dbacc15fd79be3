"""Tests of the harness, run by `autobahn/run --self-test`. They need no server, no tool and no network."""
