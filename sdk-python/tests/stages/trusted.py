"""Stages that are given secrets."""

import asyncio
from dataclasses import dataclass

import pyarrow as pa

import flowc

SETUPS = []


@dataclass
class Config:
    name: str = "TOKEN"


@flowc.stage(reads=[], adds={"plain": str})
def plain(rows: pa.RecordBatch, config: Config):
    return [flowc.secret(config.name)] * rows.num_rows


@flowc.stage(reads=[], adds={"later": str}, concurrency=3)
async def later(rows: pa.RecordBatch, config: Config):
    before = flowc.secret(config.name)
    await asyncio.sleep(0.01)
    assert before == await asyncio.to_thread(flowc.secret, config.name)
    return [before] * rows.num_rows


@flowc.stage(reads=[], adds={"gathered": str}, batch=flowc.Batching(rows=3, seconds=3600))
def gathered(rows: pa.RecordBatch, config: Config):
    return [flowc.secret(config.name)] * rows.num_rows


@flowc.stage(reads=[], adds={"loaded": str})
class Loads:
    def __init__(self, config: Config, loaded):
        self.loaded, self.own = loaded, flowc.secret(config.name)

    @staticmethod
    def setup(config: Config):
        SETUPS.append(config.name)
        return f"{flowc.secret(config.name)}, setup {len(SETUPS)}"

    def __call__(self, rows: pa.RecordBatch):
        assert self.own == flowc.secret("TOKEN")
        return [self.loaded] * rows.num_rows


@flowc.stage(reads=[], adds=lambda schema: {flowc.secret("TOKEN"): pa.string()})
def described(rows: pa.RecordBatch):
    return [""] * rows.num_rows
