"""Messages of the Remote Execution API v2, the form in which actions and results are kept.

``remote_execution.proto`` declares the part of the public API that BuildNet uses, with its field
numbers. Generate the module again after an edit with::

    uv run --with grpcio-tools python -m grpc_tools.protoc -I pool/reapi \\
        --python_out=pool/reapi --pyi_out=pool/reapi pool/reapi/remote_execution.proto
"""
