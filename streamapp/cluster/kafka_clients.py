from streamapp.cli.kafka_access import *  # noqa
from streamapp.cli.kafka_access import kafka_uuid, raw_record
