"""A stage that speaks a version of the protocol that is yet to come."""

import json
import os

from pyarrow import flight


class Server(flight.FlightServerBase):
    def do_action(self, context, action):
        answer = {"protocol": 2, "doc": "", "inputs": ["in"], "outputs": ["out"], "config_schema": {}}
        return [json.dumps(answer).encode()]


Server(os.environ["FLOWC_LISTEN"]).serve()
