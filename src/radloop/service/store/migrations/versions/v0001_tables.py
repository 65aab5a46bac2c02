"""The tables of studies, jobs, results and corrections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "blob",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blob")),
    )
    op.create_table(
        "study",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("patient_name", sa.String(), nullable=False),
        sa.Column("patient_sex", sa.String(), nullable=False),
        sa.Column("patient_age", sa.String(), nullable=False),
        sa.Column("accession", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("modality", sa.String(), nullable=False),
        sa.Column("study_date", sa.String(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("expected", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("group", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("order_key", sa.Double(), nullable=False),
        sa.Column("reviewed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
        sa.UniqueConstraint("study_uid", name=op.f("uq_study_study_uid")),
    )
    op.create_index(op.f("ix_study_accession"), "study", ["accession"], unique=False)
    op.create_index("ix_study_changing", "study", ["state", "changed_at"], unique=False)
    op.create_index(op.f("ix_study_patient_id"), "study", ["patient_id"], unique=False)
    op.create_index("ix_study_place", "study", ["place", "order_key", "id"], unique=False)
    op.create_index(
        "ix_study_worklist", "study", ["reviewed_at", "place", "order_key", "id"], unique=False
    )
    op.create_table(
        "override",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("study_id", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("when", TIME, nullable=False),
        sa.Column("rank", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_override_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_override")),
    )
    op.create_index(op.f("ix_override_study_id"), "override", ["study_id"], unique=False)
    op.create_table(
        "series",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("study_id", sa.String(), nullable=False),
        sa.Column("series_uid", sa.String(), nullable=False),
        sa.Column("modality", sa.String(), nullable=False),
        sa.Column("body_part", sa.String(), nullable=False),
        sa.Column("view", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("manufacturer", sa.String(), nullable=False),
        sa.Column("own", sa.Boolean(), nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_series_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("series_uid", name=op.f("uq_series_series_uid")),
    )
    op.create_index(op.f("ix_series_study_id"), "series", ["study_id"], unique=False)
    op.create_table(
        "instance",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("series_id", sa.String(), nullable=False),
        sa.Column("sop_uid", sa.String(), nullable=False),
        sa.Column("sop_class", sa.String(), nullable=False),
        sa.Column("transfer_syntax", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("blob", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["blob"], ["blob.sha256"], name=op.f("fk_instance_blob")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_instance_series_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
        sa.UniqueConstraint("sop_uid", name=op.f("uq_instance_sop_uid")),
    )
    op.create_index(op.f("ix_instance_series_id"), "instance", ["series_id"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("study_id", sa.String(), nullable=False),
        sa.Column("series_id", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", TIME, nullable=False),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_job_series_id")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_job_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("key", name=op.f("uq_job_key")),
    )
    op.create_index("ix_job_claim", "job", ["state", "kind", "not_before", "id"], unique=False)
    op.create_index(op.f("ix_job_study_id"), "job", ["study_id"], unique=False)
    op.create_table(
        "result",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("job_id", KEY, nullable=False),
        sa.Column("study_id", sa.String(), nullable=False),
        sa.Column("series_id", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=False),
        sa.Column("model_sha256", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("prediction", sa.JSON(), nullable=False),
        sa.Column("group", sa.String(), nullable=False),
        sa.Column("urgency", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("instance_id", KEY, nullable=True),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name=op.f("fk_result_instance_id")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_result_job_id")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_result_series_id")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_result_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_result")),
        sa.UniqueConstraint("job_id", name=op.f("uq_result_job_id")),
    )
    op.create_index(op.f("ix_result_created_at"), "result", ["created_at"], unique=False)
    op.create_index(op.f("ix_result_series_id"), "result", ["series_id"], unique=False)
    op.create_index(op.f("ix_result_study_id"), "result", ["study_id"], unique=False)
    op.create_table(
        "correction",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("study_id", sa.String(), nullable=False),
        sa.Column("result_id", sa.String(), nullable=True),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("when", TIME, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("blob", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["blob"], ["blob.sha256"], name=op.f("fk_correction_blob")),
        sa.ForeignKeyConstraint(["result_id"], ["result.id"], name=op.f("fk_correction_result_id")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_correction_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_correction")),
    )
    op.create_index(op.f("ix_correction_study_id"), "correction", ["study_id"], unique=False)
    op.create_table(
        "output",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("result_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("blob", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sop_uid", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["blob"], ["blob.sha256"], name=op.f("fk_output_blob")),
        sa.ForeignKeyConstraint(["result_id"], ["result.id"], name=op.f("fk_output_result_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_output")),
    )
    op.create_index(op.f("ix_output_result_id"), "output", ["result_id"], unique=False)
    op.create_index(op.f("ix_output_sop_uid"), "output", ["sop_uid"], unique=False)


def downgrade() -> None:
    """Back from this version."""
    op.drop_index(op.f("ix_output_sop_uid"), table_name="output")
    op.drop_index(op.f("ix_output_result_id"), table_name="output")
    op.drop_table("output")
    op.drop_index(op.f("ix_correction_study_id"), table_name="correction")
    op.drop_table("correction")
    op.drop_index(op.f("ix_result_study_id"), table_name="result")
    op.drop_index(op.f("ix_result_series_id"), table_name="result")
    op.drop_index(op.f("ix_result_created_at"), table_name="result")
    op.drop_table("result")
    op.drop_index(op.f("ix_job_study_id"), table_name="job")
    op.drop_index("ix_job_claim", table_name="job")
    op.drop_table("job")
    op.drop_index(op.f("ix_instance_series_id"), table_name="instance")
    op.drop_table("instance")
    op.drop_index(op.f("ix_series_study_id"), table_name="series")
    op.drop_table("series")
    op.drop_index(op.f("ix_override_study_id"), table_name="override")
    op.drop_table("override")
    op.drop_index("ix_study_worklist", table_name="study")
    op.drop_index("ix_study_place", table_name="study")
    op.drop_index(op.f("ix_study_patient_id"), table_name="study")
    op.drop_index("ix_study_changing", table_name="study")
    op.drop_index(op.f("ix_study_accession"), table_name="study")
    op.drop_table("study")
    op.drop_table("blob")
