from streamapp.cli.topic_admin import *  # noqa
