"""The admin child: health, metrics, status and the dashboard over HTTP.

    process      the child process                     http        requests and responses
    serving      connections and their limits          sending     POST /send, for the dashboard
    routes       the paths                             access      authentication and Host check
    supervision  queries to the control socket         metrics     the Prometheus exposition
    page         the dashboard, one HTML file          history     the last minutes, for the charts
    upkeep       the supervisor's side of the child

It does not listen on the public port and holds no state of the server, so nothing is lost when it
dies. It keeps serving what it can when shards, or the supervisor, do not reply.
"""
