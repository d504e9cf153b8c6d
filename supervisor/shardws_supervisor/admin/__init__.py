"""The admin child: health, metrics, status and the dashboard over HTTP.

    process      the child itself                      http        requests and answers
    serving      their connections and bounds          sending     POST /send, for the dashboard
    routes       the paths                             access      who may ask
    supervision  asks the control socket               metrics     the Prometheus exposition
    page         the dashboard, one file of HTML       history     the last minutes, for the charts
    upkeep       what the supervisor keeps of it

It has no listener on the public port and changes nothing; it may die at any moment and nothing is
lost. What it shows stays up when shards, or the supervisor, do not answer.
"""
