import pyarrow as pa, pyarrow.compute as pc, flowc
from flowc.testing import run, served
T=pa.table({"id":[1,2,3],"text":["a b","c",""]})
@flowc.stage(adds={"words": pa.int32()}, reads=["text"])
def words(rows: pa.RecordBatch):
    "Counts words."
    return pc.count_substring(rows["text"], " ")
class Out(flowc.Columns):
    n: int
@flowc.stage
def new(rows: pa.RecordBatch)->flowc.Batch[Out]:
    return {"n":[rows.num_rows]}
@flowc.stage(picks=True)
async def odd(rows: pa.RecordBatch):
    print("hello")
    return [i%2==1 for i in rows["id"].to_pylist()]
def test_run():
    assert run(words,{"rows":T})["out"].to_pylist()[0]=={"id":1,"text":"a b","words":1}
    assert run(new,{"rows":T},batch_rows=2)["out"].to_pylist()==[{"n":2},{"n":1}]
    assert run(odd,{"rows":T},batch_rows=2)["out"]["id"].to_pylist()==[1,3]
def test_served(tmp_path):
    import shutil; shutil.copy(__file__, tmp_path/"stage.py")
    with served(tmp_path) as s:
        for st in ("stage:words","stage:new","stage:odd"):
            s.stage=st
            print(s.signature())
            e=s.run([T]); print(e); assert e.last=={"finished":True}
