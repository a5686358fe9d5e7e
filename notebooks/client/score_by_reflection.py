"""Scores the rows of a dataset with a running server; the stubs are built from server reflection.

Nothing of the contract is compiled in: the server describes its messages and the order of its feature columns,
so this client needs no generated code and keeps working when fields are added.

    pip install grpcio grpcio-reflection protobuf pyarrow numpy
    python score_by_reflection.py --address 127.0.0.1:8001 --dataset data/toy --limit 100
"""

import argparse
import contextlib
import json
import sys
from pathlib import Path

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "forewarn.v1.RiskService"

# Time one call may take; the server stops working on it then.
DEADLINE_SECONDS = 30


class RiskClient:
    """Calls of one service, with messages as the server describes them."""

    def __init__(self, channel):
        self.channel = channel
        database = ProtoReflectionDescriptorDatabase(channel)
        self.pool = DescriptorPool(database)
        services = database.get_services()
        if SERVICE not in services:
            raise SystemExit(f"the server offers {', '.join(services)}, not {SERVICE}")
        self.service = self.pool.FindServiceByName(SERVICE)

    def message(self, name):
        """A new message of package forewarn.v1."""
        return GetMessageClass(self.pool.FindMessageTypeByName(f"forewarn.v1.{name}"))()

    def call(self, method, request):
        """One unary call."""
        output = GetMessageClass(self.service.methods_by_name[method].output_type)
        stub = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=output.FromString,
        )
        return stub(request, timeout=DEADLINE_SECONDS)

    def enum_name(self, enum, number):
        """Name of an enum value of package forewarn.v1, or its number where the server is newer than it says."""
        value = self.pool.FindEnumTypeByName(f"forewarn.v1.{enum}").values_by_number.get(number)
        return value.name if value else str(number)


def row_batches(dataset, columns, rows):
    """Record batches of at most `rows` rows from `rows/*.parquet`, files in order of their names."""
    files = sorted(Path(dataset, "rows").glob("*.parquet"))
    if not files:
        raise SystemExit(f"{Path(dataset, 'rows')} holds no *.parquet; is {dataset} a dataset?")
    for path in files:
        file = pq.ParquetFile(path)
        missing = [name for name in columns if name not in file.schema_arrow.names]
        if missing:
            raise SystemExit(f"{path}: column {missing[0]!r} is missing; the model was made for another dataset")
        yield from file.iter_batches(batch_size=rows, columns=columns)


def texts(batch, column):
    """A column as strings; a missing one is the empty string."""
    return [value or "" for value in batch.column(column).to_pylist()]


def flat_values(batch, names):
    """Flat columns as little-endian float32, row-major; null becomes NaN, which means "not observed"."""
    values = np.empty((batch.num_rows, len(names)), dtype="<f4")
    for index, name in enumerate(names):
        column = batch.column(name)
        if not pa.types.is_float32(column.type):
            raise SystemExit(f"column {name!r} is {column.type}, expected float")
        values[:, index] = column.to_numpy(zero_copy_only=False)
    return values.tobytes()


def request_of(client, batch, spec, spec_hash):
    """A Score request with every row of the batch."""
    request = client.message("ScoreRequest")
    features = request.features
    features.feature_spec_hash = spec_hash
    for kind, key, incarnation in zip(texts(batch, "kind"), texts(batch, "entity"), texts(batch, "incarnation")):
        features.entities.add(kind=kind, key=key, incarnation=incarnation)
    features.as_of.extend(batch.column("as_of").cast(pa.int64()).to_pylist())
    features.flat = flat_values(batch, [column["name"] for column in spec["flat"]])
    if spec["steps"] > 0:
        features.sequence = b"".join(batch.column("window").to_pylist())
    return request


def answer_of(client, response, risk):
    """One risk as plain data; what is not known is null."""
    known = risk.HasField("cause")
    return {
        "entity": risk.entity.key,
        "kind": risk.entity.kind,
        "incarnation": risk.entity.incarnation,
        "as_of": risk.as_of,
        "status": client.enum_name("RowStatus", risk.status),
        "status_detail": risk.status_detail,
        "horizons": list(response.horizons),
        "failure_probability": list(risk.failure_probability),
        "rul_quantiles": [
            {"level": quantile.level, "value": quantile.value if quantile.HasField("value") else None}
            for quantile in risk.rul_quantiles
        ],
        "cause": response.causes[risk.cause] if known else None,
        "alarm": client.enum_name("Alarm", risk.alarm),
    }


def score(arguments):
    """Scores the dataset chunk by chunk and writes one line per row; the number of rows and the model's name."""
    with contextlib.ExitStack() as stack:
        channel = stack.enter_context(grpc.insecure_channel(arguments.address))
        client = RiskClient(channel)
        card = client.call("GetModel", client.message("GetModelRequest"))
        spec = json.loads(card.feature_spec_json)
        columns = ["entity", "kind", "incarnation", "as_of", *(column["name"] for column in spec["flat"])]
        if spec["steps"] > 0:
            columns.append("window")
        row_bytes = 4 * (len(spec["flat"]) + spec["steps"] * len(spec["channels"])) + 2 * card.limits.key_bytes
        rows = max(1, min(card.limits.rows_per_request, card.limits.request_bytes // row_bytes))
        left = sys.maxsize if arguments.limit is None else arguments.limit
        out = sys.stdout
        if arguments.json_out:
            out = stack.enter_context(open(arguments.json_out, "w", encoding="utf-8"))
        scored = 0
        for batch in row_batches(arguments.dataset, columns, min(rows, max(left, 1))):
            batch = batch.slice(0, left - scored)
            if batch.num_rows == 0:
                break
            response = client.call("Score", request_of(client, batch, spec, card.feature_spec_hash))
            for risk in response.risks:
                out.write(json.dumps(answer_of(client, response, risk)) + "\n")
            scored += batch.num_rows
        return scored, f"{card.name} {card.version}"


def main():
    parser = argparse.ArgumentParser(description="Score the rows of a dataset with a running server.")
    parser.add_argument("--address", default="127.0.0.1:8001", help="host:port of the server")
    parser.add_argument("--dataset", required=True, help="folder of the dataset, with rows/*.parquet")
    parser.add_argument("--limit", type=int, help="rows to score; all when left out")
    parser.add_argument("--json-out", help="file for the answers, one JSON object per line; standard output when left out")
    arguments = parser.parse_args()

    try:
        scored, model = score(arguments)
    except grpc.RpcError as error:
        raise SystemExit(f"{arguments.address}: {error.code().name}: {error.details()}") from error
    print(f"{scored} rows by {model}", file=sys.stderr)


if __name__ == "__main__":
    main()
